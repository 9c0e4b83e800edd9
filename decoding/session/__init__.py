"""A run that can be paused, rewound, forked and inspected."""
