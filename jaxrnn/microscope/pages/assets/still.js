"use strict";

whenPlotted(() => address.begin());
