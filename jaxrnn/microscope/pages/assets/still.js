"use strict";

whenPlotted(() => {});
