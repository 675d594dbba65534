"""Faces looked at one by one: the page of `notebooks/explorer.ipynb`.

`faces` has what is looked at, `looking` what a model says of it, `pictures` and `words` how that is shown, `page` the
controls. Only `page` knows widgets.
"""
