"""Telemetry for people: the store's rows are shipped to MLflow, where curves can be compared.

MLflow is never asked for anything that a result depends on, and may be away at any time: rows wait in the store.

Reading order: naming.py (runs, tags, params, keys), client.py (the server and its errors), outbox.py (what is still to
be sent), trial_run.py, summary_run.py, shipper.py (the loop), links.py.
"""
