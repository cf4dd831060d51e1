# directmail: build, try, test, install.  `make help` lists the targets.

# Settings: LUA is an interpreter's command (lua5.4 lua5.3 lua5.2 lua5.1 luajit);
# LUAS lists those to build the module for; B is where everything built goes.
LUA    ?= lua5.4
LUAS   ?= $(LUA)
B      ?= build
ifeq ($(origin CC),default)
CC     := gcc
endif
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
# make SANITIZE=1 B=build/asan: the same things under ASan and UBSan
SANITIZE ?=
# make V=1 shows whole commands
V      ?=

# -- nothing to change below --------------------------------------------------
override LUA := $(notdir $(LUA))
Q   = $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)")
override CFLAGS += -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -fno-strict-aliasing \
                   -Wall -Wextra -Wconversion -Wshadow -Iinclude -Isrc/core
ifneq ($(SANITIZE),)
override CFLAGS += -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
SANFLAGS := -fsanitize=address,undefined
endif

# The 5.1 ABI is one: luajit and nginx load the module built for lua5.1.
abi  = $(patsubst luajit,lua5.1,$(1))
ABIS = $(sort $(foreach l,$(LUAS) lua5.4,$(call abi,$(l))))

CORE     := $(patsubst src/core/%.c,$(B)/core/%.o,$(wildcard src/core/*.c))
LUA_SRC  := $(shell find lua -name '*.lua' 2>/dev/null | LC_ALL=C sort)
BIND_CORE := $(wildcard src/lua/core/*.c)
BIND_NET  := $(wildcard src/lua/net/*.c) $(wildcard src/net/*.c)
BIND_STORE := $(wildcard src/lua/store/*.c) $(wildcard src/store/*.c)
BIND_HTML := $(wildcard src/lua/html/*.c) $(wildcard src/html/*.c)
SHARED    := core net html store
MODULES   := $(foreach l,$(LUAS),$(SHARED:%=$(B)/$(l)/directmail/%.so))

all: $(B)/directmail $(MODULES)   ## build the command and the module for LUA=lua5.4 (LUAS="lua5.1 luajit": more)

$(B)/core/%.o: src/core/%.c
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(B)/libdirectmail_core.a: $(CORE)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

# LuaRocks says where the headers are; else pkg-config knows them by the interpreter's name.
lua_include = $(if $(LUA_INCDIR),-I$(LUA_INCDIR),$(shell pkg-config --cflags $(1)))

# A module is renamed into its place whole: whoever loads it meanwhile has the old one.
# One set of rules per Lua ABI: $(1) is lua5.1 ... lua5.4, also its name for pkg-config.
define module
$(B)/$(1)/obj/%.o: src/%.c
	@mkdir -p $$(@D)
	$$(call say,cc $$< for $(1))
	$$(Q)$$(CC) $$(CFLAGS) -Isrc/lua -Isrc/net -Isrc/store -Isrc/html $$(call lua_include,$(1)) -MMD -MP -c $$< -o $$@

$(B)/$(1)/directmail/core.so: $(patsubst src/%.c,$(B)/$(1)/obj/%.o,$(BIND_CORE)) $(B)/libdirectmail_core.a
	@mkdir -p $$(@D)
	$$(call say,link $$@)
	$$(Q)$$(CC) -shared $$(SANFLAGS) $$(LDFLAGS) -o $$@.new $$(filter %.o,$$^) -Wl,--exclude-libs,ALL $(B)/libdirectmail_core.a -lidn2 -lcrypto
	@mv $$@.new $$@

$(B)/$(1)/directmail/net.so: $(patsubst src/%.c,$(B)/$(1)/obj/%.o,$(BIND_NET))
	@mkdir -p $$(@D)
	$$(call say,link $$@)
	$$(Q)$$(CC) -shared $$(SANFLAGS) $$(LDFLAGS) -o $$@.new $$(filter %.o,$$^) -lssl -lcrypto -ldl
	@mv $$@.new $$@

$(B)/$(1)/directmail/store.so: $(patsubst src/%.c,$(B)/$(1)/obj/%.o,$(BIND_STORE))
	@mkdir -p $$(@D)
	$$(call say,link $$@)
	$$(Q)$$(CC) -shared $$(SANFLAGS) $$(LDFLAGS) -o $$@.new $$(filter %.o,$$^) -lsqlite3 -lhiredis -lm
	@mv $$@.new $$@

$(B)/$(1)/directmail/html.so: $(patsubst src/%.c,$(B)/$(1)/obj/%.o,$(BIND_HTML))
	@mkdir -p $$(@D)
	$$(call say,link $$@)
	$$(Q)$$(CC) -shared $$(SANFLAGS) $$(LDFLAGS) -o $$@.new $$(filter %.o,$$^) -lgumbo
	@mv $$@.new $$@
endef
$(foreach a,$(ABIS),$(eval $(call module,$(a))))

# luajit takes the module of the 5.1 ABI, through a link
$(SHARED:%=$(B)/luajit/directmail/%.so) &: $(SHARED:%=$(B)/lua5.1/directmail/%.so)
	@ln -sfn lua5.1 $(B)/luajit

# What no file's date tells: where the command will be installed, and which files it carries.
$(B)/settings: FORCE
	@mkdir -p $(@D)
	@echo '$(PREFIX) $(LUA_SRC)' | cmp -s - $@ || echo '$(PREFIX) $(LUA_SRC)' >$@

# The command carries lua/ as source text, so it is one file plus the modules beside it.
$(B)/embed.inc: src/cli/embed.lua $(LUA_SRC) $(B)/settings
	@mkdir -p $(@D)
	$(Q)lua5.4 src/cli/embed.lua $(LUA_SRC) > $@.tmp && mv $@.tmp $@

$(B)/cli/main.o: src/cli/main.c $(B)/embed.inc
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(CFLAGS) -I$(B) $(shell pkg-config --cflags lua5.4) -DDM_LIBDIR='"$(PREFIX)/lib/lua/5.4"' -MMD -MP -c $< -o $@

$(B)/directmail: $(B)/cli/main.o $(SHARED:%=$(B)/lua5.4/directmail/%.so)
	$(call say,link $@)
	$(Q)$(CC) $(SANFLAGS) $(LDFLAGS) -o $@ $(B)/cli/main.o $(shell pkg-config --libs lua5.4)

objects: $(CORE) $(B)/cli/main.o $(foreach a,$(ABIS),$(patsubst src/%.c,$(B)/$(a)/obj/%.o,$(BIND_CORE) $(BIND_NET) $(BIND_STORE) $(BIND_HTML)))

module: $(MODULES)

# -- installing ---------------------------------------------------------------
# LIBDIR and LUADIR come from LuaRocks, which installs one module and no command.
version = $(patsubst lua%,%,$(call abi,$(1)))
libdir  = $(DESTDIR)$(or $(LIBDIR),$(PREFIX)/lib/lua/$(call version,$(1)))
luadir  = $(DESTDIR)$(or $(LUADIR),$(PREFIX)/share/lua/$(call version,$(1)))
define install
	install -d '$(call libdir,$(1))/directmail'
	install -m 755 $(B)/$(1)/directmail/*.so '$(call libdir,$(1))/directmail'
	cd lua && for f in $(patsubst lua/%,%,$(filter-out lua/directmail/command/%,$(LUA_SRC))); do \
	    install -D -m 644 $$f '$(call luadir,$(1))'/$$f || exit 1; done

endef

install-module: module
	$(foreach l,$(LUAS),$(call install,$(l)))
# Where shells look for completions: file names under $(PREFIX)/share.
COMPLETIONS := bash:bash-completion/completions/directmail zsh:zsh/site-functions/_directmail fish:fish/vendor_completions.d/directmail.fish
share = '$(DESTDIR)$(PREFIX)/share'
MAN   := man/man1/directmail.1

install: all install-module     ## install the command, the module, completions and man page under PREFIX=/usr/local (DESTDIR= for packages)
	install -D -m 755 $(B)/directmail '$(DESTDIR)$(PREFIX)/bin/directmail'
	for c in $(COMPLETIONS); do \
	    install -d $(share)/"$$(dirname "$${c#*:}")" && \
	    $(B)/directmail completion "$${c%%:*}" >$(share)/"$${c#*:}" && chmod 644 $(share)/"$${c#*:}" || exit 1; done
	install -d $(share)/$(dir $(MAN))
	$(B)/directmail help --man >$(share)/$(MAN)
	chmod 644 $(share)/$(MAN)

define uninstall
	rm -f $(SHARED:%='$(call libdir,$(1))/directmail/'%.so)
	cd lua && for f in $(patsubst lua/%,%,$(LUA_SRC)); do rm -f '$(call luadir,$(1))'/$$f; done
	for d in '$(call luadir,$(1))/directmail' '$(call libdir,$(1))/directmail'; do \
	    if [ -d "$$d" ]; then find "$$d" -depth -type d -empty -delete; fi; done

endef

uninstall:                      ## take away what install installed, and nothing else (the same PREFIX, DESTDIR, LUAS)
	rm -f '$(DESTDIR)$(PREFIX)/bin/directmail'
	for c in $(COMPLETIONS); do rm -f $(share)/"$${c#*:}"; done
	rm -f $(share)/$(MAN)
	$(foreach l,$(LUAS),$(call uninstall,$(l)))

tables:                         ## write the generated tables again from src/data/
	lua5.4 src/data/generate.lua
	lua5.4 src/data/catalogue.lua

rock-check: deps-test           ## install the rock for each Lua into a tree and run examples/tour.lua from another folder
	@sh tests/shell/rocks_test.sh

# -- packages, by Debian's names ----------------------------------------------
PKG_BUILD := gcc libc6-dev make pkg-config lua5.4 liblua5.4-dev liblua5.3-dev liblua5.2-dev liblua5.1-0-dev \
             libssl-dev libidn2-dev libcurl4-openssl-dev libc-ares-dev libsqlite3-dev libhiredis-dev libgumbo-dev
PKG_RUN   := lua-cjson lua-argparse openssl ca-certificates
PKG_TEST  := lua5.1 lua5.2 lua5.3 luajit2 lua-busted lua-check luarocks libcmocka-dev clang libclang-rt-14-dev python3 python3-dnslib \
             postfix dovecot-core nginx libnginx-mod-http-lua lua-resty-core lua-resty-lrucache lua-nginx-dns curl chromium zsh fish mandoc man-db \
             redis-server lua-nginx-redis
PKG_BENCH := postfix libgmime-3.0-dev nginx libnginx-mod-http-lua curl wrk redis-server
# Some machines have another Node with npm inside, with which Debian's npm does not go together: these only when there is no npm.
PKG_NODE  := nodejs npm

# dpkg-query first: when nothing is missing, neither root nor a network is needed.
define packages
@if ! command -v dpkg-query >/dev/null; then echo "This is no Debian; install what stands for: $(1)"; exit 0; fi; \
missing=$$(for p in $(1); do \
    [ "$$(dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null)" = installed ] || printf ' %s' $$p; done); \
if [ -z "$$missing" ]; then exit 0; fi; \
if [ "$$(id -u)" = 0 ]; then \
    apt-get update; DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing; \
else \
    echo "These Debian packages are missing; run this line, then make again:"; \
    echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends$$missing"; \
    exit 1; \
fi
endef

deps:                           ## install what building and running need (Debian packages)
	$(call packages,$(PKG_BUILD) $(PKG_RUN))

deps-test:                      ## the same, and what the tests need
	$(call packages,$(PKG_BUILD) $(PKG_RUN) $(PKG_TEST) $(PKG_BENCH))
	$(if $(shell sh -c 'command -v npm'),,$(call packages,$(PKG_NODE)))
	@cd tests/node && { node installed.mjs || npm ci --ignore-scripts; }

deps-bench:                     ## the same, and what the speed kit compares with
	$(call packages,$(PKG_BUILD) $(PKG_RUN) $(PKG_BENCH))
	$(if $(shell sh -c 'command -v npm'),,$(call packages,$(PKG_NODE)))
	@cd tests/node && { node installed.mjs || npm ci --ignore-scripts; }

# -- tests --------------------------------------------------------------------
# Each tests/core/NAME_test.c is a program of its own; one that includes alloc.h
# makes single allocations fail.
$(B)/tests/%: tests/core/%.c $(B)/libdirectmail_core.a
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(CFLAGS) -Itests/core -MMD -MP $< -o $@ \
	    $(if $(shell grep -l '"alloc.h"' $<),-Wl$(comma)--wrap=malloc$(comma)--wrap=realloc$(comma)--wrap=calloc) \
	    $(LDFLAGS) $(B)/libdirectmail_core.a -lcmocka -lidn2 -lcrypto
comma := ,

# tests/net/NAME_test.c: the same for what touches the world.
$(B)/tests/net/%: tests/net/%.c $(wildcard src/net/*.c src/net/*.h)
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(CFLAGS) -Isrc/net -Itests/core $< $(wildcard src/net/*.c) -o $@ \
	    $(if $(shell grep -l '"alloc.h"' $<),-Wl$(comma)--wrap=malloc$(comma)--wrap=realloc$(comma)--wrap=calloc) \
	    $(LDFLAGS) -lcmocka -lssl -lcrypto -ldl

# tests/store/NAME_test.c: the same for the store; alloc.h is handed to SQLite, which allocates in a library of its own.
$(B)/tests/store/%: tests/store/%.c $(wildcard src/store/*.c src/store/*.h tests/store/*.h)
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(CFLAGS) -Isrc/store -Itests/core $< $(wildcard src/store/*.c) -o $@ \
	    $(if $(shell grep -l '"alloc.h"' $<),-Wl$(comma)--wrap=malloc$(comma)--wrap=realloc$(comma)--wrap=calloc) \
	    $(LDFLAGS) -lcmocka -lsqlite3 -lm

# tests/html/NAME_test.c: the same for HTML; gumbo takes its memory from src/html, so alloc.h reaches it.
$(B)/tests/html/%: tests/html/%.c $(wildcard src/html/*.c src/html/*.h)
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(CFLAGS) -Isrc/html -Itests/core $< $(wildcard src/html/*.c) -o $@ \
	    $(if $(shell grep -l '"alloc.h"' $<),-Wl$(comma)--wrap=malloc$(comma)--wrap=realloc$(comma)--wrap=calloc) \
	    $(LDFLAGS) -lcmocka -lgumbo

tests: $(patsubst tests/core/%.c,$(B)/tests/%,$(wildcard tests/core/*_test.c)) \
       $(patsubst tests/net/%.c,$(B)/tests/net/%,$(wildcard tests/net/*_test.c)) \
       $(patsubst tests/store/%.c,$(B)/tests/store/%,$(wildcard tests/store/*_test.c)) \
       $(patsubst tests/html/%.c,$(B)/tests/html/%,$(wildcard tests/html/*_test.c))

$(B)/nodlclose.so: tests/support/nodlclose.c
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -fPIC -o $@ $<

check: deps-test                ## build with and without sanitizers, run all tests
	@lua5.4 tests/run $(ONLY)

# make fuzz [FUZZ=NAME...] [SECONDS=600]; finds stay in build/fuzz, seeds in tests/fuzz/corpus/NAME
SECONDS   ?= 60
FUZZ      ?= $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ_CC    = clang -std=c11 -D_GNU_SOURCE -g -O1 -Iinclude -Isrc/core -fno-sanitize-recover=undefined -MMD -MP
FUZZ_CORE := $(patsubst src/core/%.c,$(B)/fuzz/core/%.o,$(wildcard src/core/*.c))

$(B)/fuzz/core/%.o: src/core/%.c
	@mkdir -p $(@D)
	$(call say,clang $<)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer-no-link,address,undefined -c $< -o $@

$(B)/fuzz/%: tests/fuzz/%_fuzz.c $(FUZZ_CORE)
	@mkdir -p $(@D)
	$(call say,clang $<)
	$(Q)$(FUZZ_CC) -fsanitize=fuzzer,address,undefined $< $(FUZZ_CORE) -o $@ -lidn2 -lcrypto

# HTML is parsed by a library of its own.
$(B)/fuzz/html: tests/fuzz/html_fuzz.c $(wildcard src/html/*.c src/html/*.h)
	@mkdir -p $(@D)
	$(call say,clang $<)
	$(Q)$(FUZZ_CC) -Isrc/html -fsanitize=fuzzer,address,undefined $< $(wildcard src/html/*.c) -o $@ -lgumbo

fuzz-targets: $(FUZZ:%=$(B)/fuzz/%)

fuzz: fuzz-targets              ## fuzz the parsers, SECONDS=60 each, FUZZ=NAME for one
	@for name in $(FUZZ); do \
	    mkdir -p $(B)/fuzz/corpus/$$name; seeds=; \
	    if [ -d tests/fuzz/corpus/$$name ]; then seeds=tests/fuzz/corpus/$$name; fi; \
	    echo "fuzz $$name for $(SECONDS) s"; \
	    $(B)/fuzz/$$name -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 \
	        -artifact_prefix=$(B)/fuzz/$$name- $(B)/fuzz/corpus/$$name $$seeds || exit 1; \
	done

# -- speed: docs/speed.md -----------------------------------------------------
# Ours, the bare limits and the peers; each is one file, and the sink and its line are in `measure`.
BENCH := measure limit_smtp mime_bench sign_bench peer_curl peer_api peer_gmime
$(B)/bench/measure $(B)/bench/limit_smtp: EXTRA = tests/bench/sink.c
$(B)/bench/measure: EXTRA += tests/bench/relay.c
$(B)/bench/mime_bench $(B)/bench/sign_bench $(B)/bench/peer_api: EXTRA = $(B)/libdirectmail_core.a -lidn2 -lcrypto
$(B)/bench/peer_curl $(B)/bench/peer_api: EXTRA += -lcurl
$(B)/bench/peer_gmime: EXTRA = $(shell pkg-config --cflags --libs gmime-3.0)

$(B)/bench/%: tests/bench/%.c tests/bench/sink.c tests/bench/sink.h tests/bench/relay.c $(B)/libdirectmail_core.a
	@mkdir -p $(@D)
	$(call say,cc $<)
	$(Q)$(CC) $(CFLAGS) $< $(EXTRA) $(LDFLAGS) -o $@

bench-programs: all $(B)/lua5.1/directmail/core.so $(BENCH:%=$(B)/bench/%)

bench: deps-bench               ## compare speed and memory with limits and peers, ROWS="smtp mime" for some
	@$(MAKE) --no-print-directory bench-programs
	@lua5.4 tests/bench/run $(B) $(ROWS)

# -- the first mail -----------------------------------------------------------
demo: deps                      ## install what is missing, build, send two mails to the sandbox
	@$(MAKE) --no-print-directory all
	@rm -rf $(B)/demo
	@$(B)/directmail sandbox --dir $(B)/demo -- sh examples/demo.sh $(B)/directmail
	@echo; echo "Nothing left this machine. The mails as they arrived, and what the service noted about them:"; ls -1 $(B)/demo/mail/*

demo-nginx: deps                ## a contact form in nginx that mails to the sandbox, until Enter is pressed
	$(call packages,nginx libnginx-mod-http-lua lua-resty-core lua-resty-lrucache curl)
	@$(MAKE) --no-print-directory all LUAS="lua5.4 lua5.1"
	@rm -rf $(B)/demo-nginx
	@$(B)/directmail sandbox --dir $(B)/demo-nginx -- sh examples/nginx/start.sh $(B)/directmail $(B)/demo-nginx/nginx

clean:                          ## remove everything built
	rm -rf build

help:                           ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: all objects module install install-module uninstall rock-check tables deps deps-test tests check fuzz-targets fuzz deps-bench bench-programs bench demo demo-nginx clean help FORCE
-include $(shell find $(B) -name '*.d' 2>/dev/null)
