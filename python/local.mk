EXTRA_DIST += python/pyproject.toml python/hyc/load.py python/hyc/__init__.py python/hyc/evaluate.py python/hyc/hycref.py python/hyc/measure.py python/hyc/plot.py
