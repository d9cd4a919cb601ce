# Everything that is done with this project more than once. `make` alone tells what there is.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:
.ONESHELL:
MAKEFLAGS += --no-print-directory

# How long each fuzzer runs, in seconds.
FUZZ_SECONDS ?= 60
FUZZERS := FuzzExchanges FuzzHTTP1 FuzzRegistration FuzzYamux

# The program brings Swift's runtime along, so that it runs on machines without one.
release := swift build -c release --static-swift-stdlib --product socketmaster
# All tests are Swift Testing's.
tests := --disable-xctest
logs := .build/logs
# Not all of Benchmarks: what it is built with lies there too.
formatted := Sources Tests Package.swift Benchmarks/Package.swift $(addprefix Benchmarks/,Loops CountedLoops Benchmarks)

.PHONY: help install build demo chaos test check-all format lint unit-tests hotpath bench-check end-to-end test-tls \
    end-to-end-all test-hummingbird test-dependent docs dist package tls-update-check \
    test-asan test-tsan fuzz perf perf-check bench clean

help: ## tells what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' Makefile

install: ## installs the Debian packages that building and testing need
	@.ci/install

build: install ## builds the program, to .build/release/socketmaster
	@$(release)

# A third as large without symbols, which lie beside them for debuggers. SwiftPM would link again what is stripped in place.
dist: build ## makes what is installed: both programs without symbols, and those beside them, in .build/dist
	@swift build -c release --static-swift-stdlib --product socketmaster-publish
	mkdir -p .build/dist
	for name in socketmaster socketmaster-publish; do
	    objcopy --only-keep-debug .build/release/$$name .build/dist/$$name.debug
	    objcopy --strip-unneeded --add-gnu-debuglink=.build/dist/$$name.debug .build/release/$$name .build/dist/$$name
	done
	ls -l .build/dist

package: dist ## makes the Debian package, in .build/package, and checks it; with sudo, for a trial installation
	@.ci/install-package
	Sources/Packaging/build
	Sources/Packaging/check

demo: build ## shows two services on one port, and three restarts that nobody notices
	@Tests/EndToEnd/demo

test: lint build unit-tests hotpath bench-check end-to-end ## checks everything; 10 to 16 minutes
	@echo "All of it has passed. What the runners of the tests said at their end:"
	grep -h 'Test run with' $(logs)/unit-tests
	grep -hE '^(ok|PASS)' $(logs)/end-to-end

check-all: ## checks everything, and what takes long, and prints a table; 2 hours and a half
	@.ci/check-all

format: ## formats the Swift sources
	@swift format --in-place --recursive $(formatted)

lint: install ## checks the format of all sources
	@echo "== format"
	swift format lint --strict --recursive $(formatted)
	Tests/EndToEnd/run check

unit-tests: install ## runs the tests of each target
	@echo "== unit tests"
	mkdir -p $(logs)
	swift test $(tests) 2>&1 | tee $(logs)/unit-tests

hotpath: build ## checks in the program that hot functions neither allocate nor count references
	@echo "== hot path"
	perf/hotpath

bench-check: install ## counts the instructions of the pure cores and compares them with their thresholds
	@echo "== instructions"
	swift build -c release --static-swift-stdlib --package-path Benchmarks --product counted-loops
	Benchmarks/instructions

end-to-end: build ## runs the program with real services and clients
	@echo "== end to end"
	mkdir -p $(logs)
	Tests/EndToEnd/run 2>&1 | tee $(logs)/end-to-end

end-to-end-all: build ## runs the end-to-end tests that take long with every variant, too
	@.ci/install-browser
	E2E_ALL=1 Tests/EndToEnd/run

test-hummingbird: build ## runs the examples with Hummingbird; the first time 8 minutes
	@for product in example-hummingbird-{a,b,c} test-hummingbird-refused; do
	    swift build --traits Hummingbird --scratch-path .build-hummingbird --product $$product
	done
	E2E_HUMMINGBIRD=$(CURDIR)/.build-hummingbird/debug Tests/EndToEnd/run test \
	    -test.run '^TestHummingbird|^TestWhatIsPrintedWorks'

test-dependent: install ## builds a package that depends on the client library alone, and looks at what is built
	@Tests/EndToEnd/dependent

docs: install ## renders the manual and the library's reference, to .build-docs/site; the first time 3 minutes
	@export SOCKETMASTER_DOCS=1
	mkdir -p .build-docs
	rm -rf .build-docs/site .build-docs/*.doccarchive
	docc convert Sources/socketmaster/Manual.docc --warnings-as-errors --output-path .build-docs/manual.doccarchive
	swift package --scratch-path .build-docs --allow-writing-to-directory .build-docs/library.doccarchive \
	    generate-documentation --target SocketMaster --warnings-as-errors \
	    --output-path .build-docs/library.doccarchive
	docc merge .build-docs/manual.doccarchive .build-docs/library.doccarchive \
	    --synthesized-landing-page-name socketmaster --output-path .build-docs/site

test-tls: build ## lets testssl.sh and sslyze look at its TLS; 5 minutes
	@Tests/EndToEnd/install-tls
	Tests/EndToEnd/run build
	Tests/EndToEnd/tls-scan

tls-update-check: install ## builds and tests with the newest swift-nio-ssl, whatever version is pinned
	@export SOCKETMASTER_NEWEST_TLS=1
	kept=$$(mktemp -u)
	[ ! -e Package.resolved ] || cp Package.resolved $$kept
	trap 'rm -f Package.resolved; [ ! -e $$kept ] || mv $$kept Package.resolved' EXIT
	build() { swift build --scratch-path .build-tls-update "$$@"; }
	swift package --scratch-path .build-tls-update update swift-nio-ssl
	grep -A 6 '"swift-nio-ssl"' Package.resolved
	swift test $(tests) --scratch-path .build-tls-update --filter TLSTests
	for name in socketmaster-publish example-http example-raw-echo example-connections; do build --product $$name; done
	build -c release --static-swift-stdlib --product socketmaster
	E2E_SWIFT=$(CURDIR)/.build-tls-update/debug SOCKETMASTER=$(CURDIR)/.build-tls-update/release/socketmaster \
	    Tests/EndToEnd/run test -test.run 'TLS|Certificate'

chaos: build ## lets a hundred services die and return under load, for a minute
	@CHAOS_SECONDS=$${CHAOS_SECONDS:-60} Tests/EndToEnd/run test -test.v -test.run '^TestChaos$$'

test-asan: install ## runs all tests under the address sanitizer
	@$(call sanitized,address,asan)

test-tsan: install ## runs all tests under the thread sanitizer
	@$(call sanitized,thread,tsan)

# Leaks are not looked for: the runtime keeps some things for ever. A sanitized program is slow and large.
define sanitized
export ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=halt_on_error=1
swift test $(tests) --sanitize=$(1) --scratch-path .build-$(2)
swift build --product socketmaster --sanitize=$(1) --scratch-path .build-$(2)
SOCKETMASTER=$(CURDIR)/.build-$(2)/debug/socketmaster E2E_SWIFT=$(CURDIR)/.build-$(2)/debug E2E_PATIENCE=4 E2E_MEMORY=0 E2E_REACTORS=2 Tests/EndToEnd/run
endef

# What is found lands in .build-fuzz: inputs that reach new code in corpus/, those that break a rule in found/.
fuzz: install ## runs each fuzzer for a minute, or for FUZZ_SECONDS
	@export SOCKETMASTER_FUZZ=1 SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0
	for fuzzer in $(FUZZERS); do
	    swift build -c release --product $$fuzzer --scratch-path .build-fuzz \
	        --sanitize=fuzzer --sanitize=address -Xswiftc -sanitize=fuzzer,address
	done
	look() {
	    echo "== $$1, $(FUZZ_SECONDS) s"
	    corpus=$$(tr '[:upper:]' '[:lower:]' <<<"$${1#Fuzz}")
	    words=Tests/Fuzz/$$1/$$corpus.dict
	    mkdir -p .build-fuzz/corpus/$$corpus .build-fuzz/found
	    .build-fuzz/release/$$1 -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=1 \
	        -artifact_prefix=.build-fuzz/found/$$corpus- $$([ ! -e $$words ] || echo -dict=$$words) \
	        .build-fuzz/corpus/$$corpus Tests/Fuzz/Corpus/$$corpus
	}
	export -f look
	printf '%s\n' $(FUZZERS) | xargs -P "$$(nproc)" -I FUZZER bash -c 'look FUZZER'

perf: build ## measures the CPU per request beside HAProxy, nginx and Envoy; 25 minutes
	@perf/install
	perf/compare http

perf-check: ## checks the programs that measure, and what they compute
	@perf/check

# What it is built with is large and has a folder of its own.
bench: install ## measures the time of the pure cores' operations; the first time 4 minutes, then 1
	@export SOCKETMASTER_TIMES=1
	swift package -c release --package-path Benchmarks --scratch-path Benchmarks/.build-times \
	    benchmark --target Times --grouping metric --no-progress

clean: ## removes everything that was built
	@rm -rf .build .build-asan .build-tsan .build-fuzz .build-hummingbird .build-docs .build-tls-update \
	    Benchmarks/.build Benchmarks/.build-times
