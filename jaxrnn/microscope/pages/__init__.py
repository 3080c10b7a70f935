"""Pages to look at: each is one HTML file that needs no network.

Every maker of a page returns the HTML as a string; `write_page` puts it in a file.
"""
