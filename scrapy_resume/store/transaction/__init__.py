"""The steps of a transaction that all backends share.

Their interface to a backend is in ``tables``. Connections, locks and SQL dialects are in ``sqlite``
and ``postgres``.
"""
