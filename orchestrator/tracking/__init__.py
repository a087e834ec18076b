"""Telemetry for people: the store's rows are shipped to trackers, where curves can be looked at and compared.

No tracker is ever asked for anything that a result depends on, and each may be away at any time: rows wait in the
store.

Reading order: tracker.py (what a tracker is), naming.py (runs, tags, params, keys), outbox.py (what is still to be
sent), trial_run.py, summary_run.py, shipper.py (the loop), trackers.py (all that there are), and a folder for each.
"""
