"""Switches the add-on on for every crawl of a process that imports this, and of its children.

A ``.pth`` file of the environment imports it where ``RESUME_TRIAL`` is set. The suites of other
packages know nothing of this one, start programs with a PYTHONPATH of their own, and make many
crawlers: the add-on is therefore put beside the add-ons of each crawler when Scrapy loads them.
Each crawl has a store of its own in ``RESUME_TRIAL_STORES``, as the tests of a suite use the same
spider's name again. With ``RESUME_TRIAL=every`` crawlers that are given their settings before they
crawl (``get_crawler``) are jobs as well.
"""

import os
import sys
import tempfile
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import PathFinder

PATCHED = "scrapy.addons"


def switch_on(addons):
    load = addons.AddonManager.load_settings

    def load_settings(self, settings):
        every = os.environ["RESUME_TRIAL"] == "every"
        tempfile.NamedTemporaryFile(
            prefix="crawler-", dir=os.environ["RESUME_TRIAL_STORES"], delete=False
        ).close()
        if (self.crawler.crawling or every) and settings.get("RESUME_STORE") is None:
            store = tempfile.mkdtemp(prefix="store-", dir=os.environ["RESUME_TRIAL_STORES"])
            settings.set("RESUME_STORE", store, "default")
        if every and settings.get("RESUME_JOB") is None:
            settings.set("RESUME_JOB", "trial", "default")
        if "scrapy_resume.Addon" not in settings["ADDONS"]:
            settings["ADDONS"].set("scrapy_resume.Addon", 500, "default")
        load(self, settings)

    addons.AddonManager.load_settings = load_settings


class Patching(Loader):
    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        switch_on(module)


class Finder(MetaPathFinder):
    """Finds Scrapy's module of add-ons where it is, and patches it once it is loaded."""

    def find_spec(self, fullname, path, target=None):
        if fullname != PATCHED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None:
            spec.loader = Patching(spec.loader)
        return spec


sys.meta_path.insert(0, Finder())
