"""Collects changes in batches and commits them to the store on one thread.

``run.batch_sync`` decides what a batch contains, and ``store`` how it is applied.
"""
