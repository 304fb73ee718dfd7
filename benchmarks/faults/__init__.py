"""A campaign of faults: damaged files, full and read-only disks, and killed trainings."""
