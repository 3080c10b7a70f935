"""Still pictures for notebooks and papers, by Matplotlib.

Every function draws on an axes that it is given, so that pictures can be put together; `save`
makes a file of one.
"""
