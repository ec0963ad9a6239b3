# SPDX-License-Identifier: Apache-2.0
"""The two tasks' documents, cut out of one local text file: the file that `--metadata '{"text": "FILE"}'` names.

Nothing here is random but the places of the wrong answers, and those follow from the position of the question, so that every run asks the same.
"""
import random
import re

from datasets import Dataset

# Characters of a piece, of a question's context and of its answers. Few enough for models that read 1,024 tokens at a time.
PIECE, CONTEXT, ANSWER = 2000, 400, 60
CHOICES = 4


def read(text):
    if not text:
        raise SystemExit("hyc_text and hyc_choice: name a local text file with --metadata '{\"text\": \"FILE\"}'")
    with open(text, encoding="utf-8") as file:
        return file.read()


def up_to_word(text, start, length):
    """The end of a stretch of about this length that begins at `start` and stops before a blank."""
    blank = re.compile(r"\s").search(text, start + length)
    return blank.start() if blank else len(text)


def pieces(text=None, **_others):
    whole = read(text)
    documents, start = [], 0
    while start < len(whole):
        end = up_to_word(whole, start, PIECE)
        if whole[start:end].strip():
            documents.append({"text": whole[start:end]})
        start = end
    return {"test": Dataset.from_list(documents)}


def questions(text=None, **_others):
    whole = read(text)
    documents, start = [], 0
    while start + CONTEXT + ANSWER < len(whole):
        cut = up_to_word(whole, start, CONTEXT)
        end = up_to_word(whole, cut, ANSWER)
        answers = [whole[cut:end]] + wrong_answers(whole, cut)
        order = list(range(CHOICES))
        random.Random(cut).shuffle(order)
        if len(set(answers)) == CHOICES and whole[cut:end].strip():
            documents.append({"context": whole[start:cut], "choices": [answers[i] for i in order], "answer": order.index(0)})
        start = end
    return {"test": Dataset.from_list(documents)}


def wrong_answers(whole, seed):
    places = random.Random(seed)
    answers = []
    for _ in range(CHOICES - 1):
        start = up_to_word(whole, places.randrange(len(whole)), 0)
        answers.append(whole[start:up_to_word(whole, start, ANSWER)])
    return answers


def count(doc, results):
    """What lm_eval's own perplexity tasks return: a log-likelihood and what it is to be divided by."""
    (likelihood,) = results
    words, size = len(re.split(r"\s+", doc["text"].strip())), len(doc["text"].encode())
    return {"word_perplexity": (likelihood, words), "byte_perplexity": (likelihood, size), "bits_per_byte": (likelihood, size)}
