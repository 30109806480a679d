// The precompiled header needs a target to live in.
