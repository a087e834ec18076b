"""What a browser shows: the same use cases as the HTTP interface and the same words as the report, as HTML.

Reading order: route.py (which requests get a page), rendering.py (how one is written), then a file per page
(experiments.py, experiment.py) with its template. Pages work without a script; `browser/` holds what makes them live.
"""
