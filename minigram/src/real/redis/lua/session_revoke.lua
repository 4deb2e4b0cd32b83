-- Ends a session. ARGV[3]: id.
remove(ARGV[3])
