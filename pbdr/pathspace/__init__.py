"""The integrator `pathspace`: the plugin, its options, its gradient passes, recorded passes, and their memory."""
