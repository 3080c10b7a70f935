import doctest
from importlib import import_module
from pkgutil import walk_packages

import benchmarks


def test_docstring_examples_run():
    attempted = 0
    for module in walk_packages(benchmarks.__path__, "benchmarks."):
        if not module.name.endswith("__main__"):
            failed, tried = doctest.testmod(import_module(module.name))
            assert not failed, module.name
            attempted += tried
    assert attempted >= 10
