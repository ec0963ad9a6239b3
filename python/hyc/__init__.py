# SPDX-License-Identifier: Apache-2.0
"""Python beside hycfs: an independent decoder (hyc.hycref) and the comparison of models (hyc.evaluate)."""


class Failure(Exception):
    """What went wrong, as a sentence for the person who asked."""
