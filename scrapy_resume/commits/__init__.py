"""The way to the store: batches are collected, committed by one thread, and answered.

What a batch contains is decided in ``run.batch_sync``; how it is applied, in ``store``.
"""
