"""Self-contained HTML pages with figures: templates, drawing and number formats that all reports share."""
