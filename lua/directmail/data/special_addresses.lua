--- Addresses that are nobody's public server, as prefixes.
-- Made by src/data/generate.lua from special_addresses.tsv; change it there.
-- @module directmail.data.special_addresses
-- luacheck: no max line length
return {
  { version = 4, bits = 8, groups = { 0, 0, 0, 0 }, what = "this network" },
  { version = 4, bits = 8, groups = { 10, 0, 0, 0 }, what = "private use" },
  { version = 4, bits = 10, groups = { 100, 64, 0, 0 }, what = "shared address space, and the metadata service of Alibaba Cloud" },
  { version = 4, bits = 8, groups = { 127, 0, 0, 0 }, what = "loopback" },
  { version = 4, bits = 16, groups = { 169, 254, 0, 0 }, what = "link local, and the metadata services of other clouds" },
  { version = 4, bits = 12, groups = { 172, 16, 0, 0 }, what = "private use" },
  { version = 4, bits = 24, groups = { 192, 0, 0, 0 }, what = "protocol assignments" },
  { version = 4, bits = 24, groups = { 192, 0, 2, 0 }, what = "documentation" },
  { version = 4, bits = 24, groups = { 192, 88, 99, 0 }, what = "6to4 relay, deprecated" },
  { version = 4, bits = 16, groups = { 192, 168, 0, 0 }, what = "private use" },
  { version = 4, bits = 15, groups = { 198, 18, 0, 0 }, what = "benchmarking" },
  { version = 4, bits = 24, groups = { 198, 51, 100, 0 }, what = "documentation" },
  { version = 4, bits = 24, groups = { 203, 0, 113, 0 }, what = "documentation" },
  { version = 4, bits = 4, groups = { 224, 0, 0, 0 }, what = "multicast" },
  { version = 4, bits = 4, groups = { 240, 0, 0, 0 }, what = "reserved, and broadcast" },
  { version = 6, bits = 23, groups = { 8193, 0 }, what = "protocol assignments, Teredo among them" },
  { version = 6, bits = 32, groups = { 8193, 3512 }, what = "documentation" },
  { version = 6, bits = 16, groups = { 8194, 0 }, what = "6to4: the IPv4 address in it may be any" },
  { version = 6, bits = 48, groups = { 9760, 79, 32768 }, what = "AS112: answers for private names" },
  { version = 6, bits = 20, groups = { 16383, 0 }, what = "documentation" },
}
