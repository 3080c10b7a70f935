import pytest

from jaxrnn import microscope


def test_every_listed_module_is_there_and_described():
    for name in dir(microscope):
        module = getattr(microscope, name)
        assert module.__name__.startswith("jaxrnn.microscope.")
        assert module.__name__.rpartition(".")[2] == name
        assert name in microscope.__doc__


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'telescope'"):
        _ = microscope.telescope
