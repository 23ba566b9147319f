"""Feeds as a view of the committed items.

What a crawl wrote into its feeds when it died is not to be trusted: Scrapy writes an item when
it comes out of the pipelines, and it may come again. Here a feed *follows* the store: an item
is written once it is committed, in the order in which items became visible, and how far a feed
has come is committed with the next batch. So a feed never holds what the store does not have.

    store ─▶ source ─▶ feed ─▶ its file of the moment: exporter ─▶ sink ─▶ target
                                (Scrapy's FeedSlot)      bytes      a local file, an upload, …

On a resume a local file is cut back to what is committed and goes on from there; everything else
(uploads, post-processed files) is written again from the stored items, as all of it was in memory
or in a compressor. ``record`` is what the store keeps of a file, ``footprint`` what stands beside
a local file to tell the job's bytes from others', ``proof`` what the file shows of it, and
``rewriting`` takes bytes out without harm to those of other jobs.
"""
