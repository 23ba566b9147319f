"""The dashboard: ``scrapy resume web``. Pages, a JSON API, metrics.

It reads through ``reporting`` and the pages of the store's reader, and changes jobs through
``steering`` alone. It never owns a job and never starts a process.

A request comes in through ``security`` (Host, token, Origin), and is answered by a plain function
(``job_pages``, ``row_pages``, ``api``) in a thread; ``answers`` keeps what it gave for a second, so
that twenty clients cost what one costs. ``live`` tells pages that something has changed.
"""
