"""Every sentence for people about a record. Each claim is read from a field of the record."""

from counterveil.narrative.phrases import join_list, percent, pluralize, public_model_name
from counterveil.narrative.summaries import disagreements, summary
from counterveil.narrative.texts import headline, rationale, sentences, statement

__all__ = ["disagreements", "headline", "join_list", "percent", "pluralize", "public_model_name",
           "rationale", "sentences", "statement", "summary"]  # fmt: skip
