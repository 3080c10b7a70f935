"""Measurements: what the traces say, in numbers.

Each module is one kind of measurement, of arrays, with no page in it; `views` and `experiments`
make pages and verdicts of them.

    gradient_flow       how gradients shrink or grow with distance; Jacobians; spectra
    predictability      whether neighbouring states draw together: the Lyapunov exponent
    connectivity        how much each earlier character mattered, by five definitions
    gate_statistics     open and closed gates, dead and saturated units
    probes, unit_search what the units encode, by measurement on held-out text
    clamping            what changes when a unit is held
    surprise            where the loss is, and what the model would rather have said
    error_breakdown     what knowledge would have prevented the errors
    copying             what a sample took from the training text word for word
    completions         how a model would finish the word that it is in
    repetition          where a text begins to go round in a loop
"""
