"""Follow-up questions without a language model: what they refer to, and the question that stands alone."""
