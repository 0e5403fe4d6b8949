"""Follow-up question → question that stands alone."""
