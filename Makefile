# SPDX-License-Identifier: GPL-2.0-only
#
# make            build/lanetag
# make test       every test (needs root: namespaces and BPF); make unit: those that need nothing
# make demo       the tutorial on this machine; make playground: the same by hand, docs/tutorial.md
#
# make test-kernels   the BPF tests on Debian's 5.10, 6.1 and 6.12 kernels, in QEMU
# make test-distributions   build, unit and BPF tests on the other of Debian 12 and 13
# make bench          lanetag beside HAProxy and nginx, also in a chain of applications: docs/benchmark.md
# make bench-tagger   what the kernel program costs; bench-arrivals: the one at the pods
# make bench-growth   how cost grows with work, in instructions, microseconds and bytes, beside HAProxy and nginx
# make test-asan      unit tests and hostile suites under clang's ASan and UBSan
# make test-tsan      the proxy with reloads, scrapes and takeovers under clang's TSan
# make soak           ten minutes of traffic, reloads, dying endpoints and agents that take over
# make fuzz           all that reads what others wrote, under libFuzzer, FUZZ_SECONDS each
# make mutants        plants bugs one at a time, and asks the fitting suites to find each; MUTANTS_SAMPLE=6: some
# make format, lint   the sources' form; the tree's rules
# make install        DESTDIR and PREFIX are known; make uninstall; make deb: a Debian package in build/
#
# V=1 shows the commands. SANITIZE=1 builds with gcc's ASan and UBSan into build/sanitize/, SANITIZE=address with clang's into
# build/asan/, SANITIZE=thread with clang's TSan into build/tsan/.

BUILD := build
CC := gcc
CLANG ?= clang
ifeq ($(SANITIZE),1)
BUILD := build/sanitize
SANITIZE_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(SANITIZE),address)
BUILD := build/asan
CC := $(CLANG)
SANITIZE_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(SANITIZE),thread)
BUILD := build/tsan
CC := $(CLANG)
SANITIZE_FLAGS := -fsanitize=thread -fno-omit-frame-pointer
endif

VERSION := $(shell scripts/version.sh)
PREFIX ?= /usr/local
DESTDIR ?=

BPFTOOL ?= $(firstword $(shell command -v bpftool) /usr/sbin/bpftool)
CLANG_FORMAT ?= clang-format

PACKAGES := yaml-0.1 libbpf libmicrohttpd jansson libseccomp libsodium libcurl
CFLAGS ?= -O2 -g
# The agent is optimised as a whole (a tenth fewer instructions per request). Tests link the same objects without.
LTO := $(if $(SANITIZE),,-flto=auto -ffat-lto-objects)

# What makes an error in memory harder to use (docs/operations.md): canaries in stack frames, checked copies, addresses that
# differ from start to start, no table of functions that can be written, and landing pads for jumps where the processor and the
# compiler have them. Checked copies need an optimising compiler, 3 a recent one. Sanitizers have their own means.
has_option = $(shell $(CC) -Werror $(1) -x c -c -o /dev/null /dev/null 2>/dev/null && echo $(1))
has_level_3 = $(shell printf '\043if !__has_builtin(__builtin_dynamic_object_size)\n\043error\n\043endif\n' | $(CC) -E -o /dev/null - 2>/dev/null && echo yes)
ifeq ($(SANITIZE),)
FORTIFY := $(if $(filter -O -O1 -O2 -O3 -Os -Og,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(if $(has_level_3),3,2))
HARDENING := -fPIE -fstack-protector-strong $(FORTIFY) $(call has_option,-fcf-protection) $(call has_option,-fstack-clash-protection)
HARDENING_LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack
endif
ALL_CFLAGS = $(CFLAGS) $(HARDENING) $(SANITIZE_FLAGS) -std=gnu11 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wno-missing-field-initializers -D_GNU_SOURCE \
	-Iinclude -Iuser -I$(BUILD) $(shell pkg-config --cflags $(PACKAGES)) -pthread
# The one C++ source, and its library: no header of it is seen elsewhere.
CXX := $(if $(filter $(CLANG),$(CC)),$(subst clang,clang++,$(CLANG)),g++)
CXXFLAGS ?= $(CFLAGS)
ALL_CXXFLAGS = $(CXXFLAGS) $(SANITIZE_FLAGS) -std=c++17 -Wall -Wextra -Werror -Wshadow -fno-rtti -Iinclude -Iuser \
	$(filter-out -std=%,$(shell pkg-config --cflags re2)) -pthread
LIBS = $(shell pkg-config --libs $(PACKAGES) re2) -lstdc++ -lelf -lz -lm -pthread
# As libbpf names them.
BPF_ARCHITECTURE := $(patsubst aarch64,arm64,$(patsubst x86_64,x86,$(shell uname -m)))
BPF_CFLAGS := -g -O2 -target bpf -mcpu=v3 -Wall -Wextra -Werror -D__TARGET_ARCH_$(BPF_ARCHITECTURE) -Iinclude -Ibpf \
	-idirafter /usr/include/$(shell gcc -dumpmachine)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' '$(1)' '$(2)')

USER_SOURCES := $(wildcard user/*.c user/*/*.c user/*/*/*.c)
CXX_SOURCES := $(wildcard user/*/*.cc)
CXX_OBJECTS := $(patsubst %.cc,$(BUILD)/%.o,$(CXX_SOURCES))
LIBRARY_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out user/main.c,$(USER_SOURCES))) $(CXX_OBJECTS)
BPF_SOURCES := $(wildcard bpf/*.bpf.c)
SKELETONS := $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/%.skel.h,$(BPF_SOURCES))

UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/*/test_*.c tests/unit/*/*/test_*.c))
KERNEL_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/kernel/test_*.c))
GROWTH := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/growth/*.c))
TEST_TOOLS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/apps/*.c tests/bench/*.c)) $(GROWTH)
E2E_TESTS := $(sort $(wildcard tests/e2e/test_*.sh))
SHELL_SCRIPTS := $(wildcard scripts/*.sh tests/e2e/*.sh tests/*.sh .ci/run)
FORMATTED := $(wildcard include/*/*.h bpf/*.[ch] user/*.[ch] user/*/*.[ch] user/*/*/*.[ch] user/*/*.cc tests/*/*.[ch] tests/*/*/*.[ch] \
	tests/*/*/*/*.[ch])

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: FORCE all build setup unit test-kernel test-kernels test-e2e test demo format lint install uninstall clean help

# Whole targets install what they need; parts (build, unit, …) take the machine as it is.
all: setup build

build: $(BUILD)/lanetag

setup:
	$(Q)scripts/setup.sh

$(BUILD)/lanetag: $(BUILD)/user/main.o $(BUILD)/liblanetag.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(HARDENING) $(LTO) $(SANITIZE_FLAGS) $(HARDENING_LDFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/liblanetag.a: $(LIBRARY_OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

# Written anew only when the version is another one, so that what says it is compiled anew.
$(BUILD)/version.h: FORCE
	$(Q)mkdir -p $(@D) && echo '#define LANETAG_VERSION "$(VERSION)"' >$@.new
	$(Q)if cmp -s $@ $@.new; then rm $@.new; else mv $@.new $@; fi

$(BUILD)/user/%.o: user/%.c | $(SKELETONS) $(BUILD)/version.h
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(LTO) -MMD -MP -c -o $@ $<

$(BUILD)/user/%.o: user/%.cc
	$(call say,CXX,$<)
	$(Q)mkdir -p $(@D) && $(CXX) $(ALL_CXXFLAGS) -MMD -MP -c -o $@ $<

# CO-RE objects and their skeletons. Nothing generated is committed.
$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D) && $(CLANG) $(BPF_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst -,_,$*)_bpf > $@

$(BUILD)/tests/%: tests/%.c $(BUILD)/liblanetag.a
	$(call say,TEST,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -fno-lto -Itests -MMD -MP -MF $@.d -o $@ $< $(BUILD)/liblanetag.a \
		-lcmocka -lxxhash $(LIBS)

unit: $(UNIT_TESTS)
	$(Q)tests/run.sh $(UNIT_TESTS)

test-kernel: $(KERNEL_TESTS)
	$(Q)tests/run.sh $(KERNEL_TESTS)

test-e2e: $(BUILD)/lanetag $(TEST_TOOLS)
	$(Q)LANETAG_BUILD=$(BUILD) tests/run.sh $(E2E_TESTS)

# The same on Debian's kernels, booted in QEMU; images are fetched once into build/kernels.
test-kernels: setup
	$(Q)$(MAKE) --no-print-directory build $(KERNEL_TESTS)
	$(Q)scripts/kernel-matrix.sh $(KERNEL_TESTS)

# The agent under clang's sanitizers: tests/sanitized.sh says which suites, and what it takes for a report.
.PHONY: test-asan test-tsan
test-asan: setup
	$(Q)$(MAKE) --no-print-directory SANITIZE=address sanitized-asan
test-tsan: setup
	$(Q)$(MAKE) --no-print-directory SANITIZE=thread sanitized-tsan

.PHONY: sanitized-asan sanitized-tsan
sanitized-asan: $(UNIT_TESTS) $(BUILD)/lanetag $(TEST_TOOLS)
	$(Q)tests/sanitized.sh address $(BUILD) $(UNIT_TESTS)
sanitized-tsan: $(BUILD)/lanetag $(TEST_TOOLS)
	$(Q)tests/sanitized.sh thread $(BUILD)

# Build, unit and BPF tests with the packages of the other Debian release, in a root of its own in build/distributions.
.PHONY: test-distributions test-programs
test-distributions: setup
	$(Q)scripts/test-distributions.sh

test-programs: $(UNIT_TESTS) $(KERNEL_TESTS)

test: setup
	$(Q)$(MAKE) --no-print-directory test-all

.PHONY: test-all
test-all: $(UNIT_TESTS) $(KERNEL_TESTS) $(BUILD)/lanetag $(TEST_TOOLS)
	$(Q)LANETAG_BUILD=$(BUILD) tests/run.sh $(UNIT_TESTS) $(KERNEL_TESTS) $(E2E_TESTS)

# What the kernel program costs on this machine (root).
.PHONY: bench-tagger
bench-tagger: $(BUILD)/tests/bench/bench_tagger
	$(Q)$<

# The proxy under all at once; bounded.
SOAK_SECONDS ?= 600
.PHONY: soak
soak: setup
	$(Q)$(MAKE) --no-print-directory build
	$(Q)LANETAG_BUILD=$(BUILD) SOAK_SECONDS=$(SOAK_SECONDS) tests/e2e/test_proxy_soak.sh

# How cost grows with work: in instructions (tests/growth/growth.h), then in what they do not show (tests/growth/measure.py).
.PHONY: bench-growth
bench-growth: $(GROWTH) $(BUILD)/lanetag $(addprefix $(BUILD)/tests/bench/,load origin copier)
	$(Q)for program in $(GROWTH); do python3 tests/growth/growth.py table $$program || exit 1; done
	$(Q)LANETAG_BUILD=$(BUILD) tests/growth/measure.sh

.PHONY: bench-arrivals
bench-arrivals: $(BUILD)/tests/bench/bench_arrivals
	$(Q)$<

# lanetag, HAProxy, nginx and a direct connection side by side (root; a quarter of an hour): docs/benchmark.md.
.PHONY: bench
bench: setup
	$(Q)$(MAKE) --no-print-directory $(BUILD)/lanetag $(BUILD)/tests/bench/load $(BUILD)/tests/bench/origin $(BUILD)/tests/bench/copier \
		$(BUILD)/tests/apps/mock_app
	$(Q)LANETAG_BUILD=$(BUILD) tests/bench/compare.sh

# Each tests/fuzz/fuzz_NAME.c under libFuzzer for FUZZ_SECONDS, from tests/fuzz/corpus/NAME (if there is one) and with the
# words of tests/fuzz/NAME.dict (likewise): tests/fuzz/run.sh. FUZZERS="NAME …" picks some.
FUZZ_SECONDS ?= 60
FUZZERS ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZED_OBJECTS := $(patsubst %.c,$(BUILD)/fuzz/objects/%.o,$(filter-out user/main.c,$(USER_SOURCES)))
FUZZ_CFLAGS = -g -O1 -std=gnu11 -D_GNU_SOURCE -Iinclude -Iuser -Itests -I$(BUILD) $(shell pkg-config --cflags $(PACKAGES)) -pthread

# Once for all fuzzers; each links what it calls.
$(BUILD)/fuzz/objects/%.o: %.c | $(SKELETONS) $(BUILD)/version.h
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CLANG) $(FUZZ_CFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(BUILD)/fuzz/liblanetag.a: $(FUZZED_OBJECTS) $(CXX_OBJECTS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(BUILD)/fuzz/liblanetag.a
	$(call say,FUZZ,$@)
	$(Q)mkdir -p $(@D) && $(CLANG) $(FUZZ_CFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer -MMD -MP -MF $@.d -o $@ $< \
		$(BUILD)/fuzz/liblanetag.a $(LIBS)

# Plants bugs one at a time and asks the suites to find each: tests/mutants/run.py. MUTANTS_SAMPLE=6 takes that many at random,
# MUTANTS="NAME …" those. What was not started after MUTANTS_SECONDS is skipped.
MUTANTS ?=
MUTANTS_SAMPLE ?=
MUTANTS_SECONDS ?= 7200
.PHONY: mutants
mutants: setup
	$(Q)$(MAKE) --no-print-directory build $(UNIT_TESTS) $(KERNEL_TESTS) $(BUILD)/tests/apps/mock_app
	$(Q)tests/mutants/run.py --build $(BUILD) --seconds $(MUTANTS_SECONDS) \
		$(if $(MUTANTS_SAMPLE),--sample $(MUTANTS_SAMPLE)) $(MUTANTS)

# The words that manifests are made of.
$(BUILD)/fuzz/manifest.dict: $(wildcard user/manifest/*.c user/policy/*.c)
	$(Q)mkdir -p $(@D) && grep -ohE '"[A-Za-z][A-Za-z0-9._/-]{2,40}"' $^ | grep -v '\.h"' | sort -u >$@

.PHONY: fuzz
fuzz: $(addprefix $(BUILD)/fuzz/fuzz_,$(FUZZERS)) $(BUILD)/fuzz/manifest.dict
	$(Q)FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run.sh $(BUILD)/fuzz $(FUZZERS)

demo: setup
	$(Q)$(MAKE) --no-print-directory build $(TEST_TOOLS)
	$(Q)scripts/demo.sh

.PHONY: playground
playground: setup
	$(Q)$(MAKE) --no-print-directory build $(BUILD)/tests/apps/mock_app
	$(Q)LANETAG_BUILD=$(BUILD) scripts/playground.sh

format:
	$(Q)$(CLANG_FORMAT) -i $(FORMATTED)

lint: check-format
	$(Q)scripts/lint.sh

.PHONY: check-format
check-format:
	$(Q)printf '%s\n' $(FORMATTED) | xargs -n 64 -P "$$(nproc)" $(CLANG_FORMAT) --dry-run --Werror

# What people read, and what their Prometheus and Grafana do.
DOCUMENTS = README.md CHANGELOG.md $(wildcard docs/*.md) deploy/prometheus/rules.yaml deploy/grafana/lanes.json
install: build
	install -D -m 0755 $(BUILD)/lanetag $(DESTDIR)$(PREFIX)/sbin/lanetag
	install -d -m 0755 $(DESTDIR)/etc/lanetag $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's#/usr/sbin/lanetag#$(PREFIX)/sbin/lanetag#' deploy/systemd/lanetag.service \
		>$(DESTDIR)$(PREFIX)/lib/systemd/system/lanetag.service
	install -D -m 0644 deploy/systemd/default $(DESTDIR)/etc/default/lanetag
	$(foreach page,$(wildcard docs/man/*.8),install -D -m 0644 $(page) \
		$(DESTDIR)$(PREFIX)/share/man/man8/$(notdir $(page));)
	$(foreach file,$(wildcard scripts/completion/lanetag.bash),install -D -m 0644 $(file) \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/lanetag;)

	install -d -m 0755 $(DESTDIR)$(PREFIX)/share/doc/lanetag
	install -m 0644 $(DOCUMENTS) $(DESTDIR)$(PREFIX)/share/doc/lanetag

# Leaves what others wrote: manifests and options.
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/sbin/lanetag $(DESTDIR)$(PREFIX)/lib/systemd/system/lanetag.service \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/lanetag \
		$(addprefix $(DESTDIR)$(PREFIX)/share/man/man8/,$(notdir $(wildcard docs/man/*.8)))
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/lanetag
	cmp -s deploy/systemd/default $(DESTDIR)/etc/default/lanetag && rm $(DESTDIR)/etc/default/lanetag || true
	rmdir $(DESTDIR)/etc/lanetag 2>/dev/null || true

# A Debian package in build/.
.PHONY: deb
deb: build
	$(Q)scripts/make-deb.sh $(BUILD) $(VERSION)

clean:
	rm -rf build

help:
	$(Q)sed -n '/^# make /,/^$$/s/^# \{0,1\}//p' Makefile

-include $(shell find $(BUILD) \( -path $(BUILD)/distributions -o -path $(BUILD)/kernels \) -prune -o -type f -name '*.d' -print 2>/dev/null)
