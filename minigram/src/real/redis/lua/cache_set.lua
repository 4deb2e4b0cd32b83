-- Keeps a value. ARGV[2..4]: value, lifetime, for how long it is not aging.
discard_foreign()
store_value(ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]))
