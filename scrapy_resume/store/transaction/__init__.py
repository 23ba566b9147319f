"""The steps of a transaction that all backends share.

What they ask of a backend is in ``tables``. Connections, locks and SQL dialects are in ``sqlite``
and ``postgres``.
"""
