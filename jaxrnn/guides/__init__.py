"""Guides. Every Python block in them is run by the tests.

- `jaxrnn.guides.writing_a_cell`: a cell as three functions, checked, used everywhere
- `jaxrnn.guides.ragged_data`: padding, episodes, dropout, encoder and decoder, truncated gradients
- `jaxrnn.guides.character_models`: train, sample, evaluate; runs, settings, reproducibility
- `jaxrnn.guides.growing`: streams, devices, processes, parallel in time, learning online
- `jaxrnn.guides.weights_in_and_out`: PyTorch, Keras, flax, haiku, equinox
- `jaxrnn.guides.reading_the_pages`: what each page shows, and how to read it
- `jaxrnn.guides.what_nan_means`: where NaN comes from, on purpose and by accident
- `jaxrnn.guides.the_gradient`: the equations, and how the hand-derived gradient works

Each is a Markdown file in this folder.
"""
