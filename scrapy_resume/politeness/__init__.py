"""What a host asks for or suffers from: ``Retry-After`` and circuit breakers.

The delays of single retries are in ``frontier.retries``.
"""
