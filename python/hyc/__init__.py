# SPDX-License-Identifier: Apache-2.0
"""Python beside hycfs: tensors from archives (hyc.safe_open, hyc.load_file), an independent decoder (hyc.hycref) and the
comparison of models (hyc.evaluate)."""


class Failure(Exception):
    """What went wrong, as a sentence for the person who asked."""


# Failure must be there for what follows.
from .load import load_file, safe_open  # noqa: E402 pylint: disable=wrong-import-position

__all__ = ["Failure", "load_file", "safe_open"]
