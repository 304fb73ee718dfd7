"""Self-contained HTML pages with pictures: what every report shares."""
