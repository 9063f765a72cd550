mgd-yang := re/mgd/schema/vchassis-junos.yang re/mgd/schema/vchassis-junos-types.yang \
	re/mgd/schema/vchassis-junos-interfaces.yang re/mgd/schema/vchassis-junos-routing.yang \
	re/mgd/schema/vchassis-junos-ike.yang re/mgd/schema/vchassis-junos-ipsec.yang \
	re/mgd/schema/vchassis-junos-policy.yang
build/gen/mgd-yang.c: $(addprefix $(S)/,re/mgd/embed.awk $(mgd-yang))
	@mkdir -p $(@D)
	awk -v name=mgd_yang_texts -f $(S)/re/mgd/embed.awk $(addprefix $(S)/,$(mgd-yang)) > $@

libraries += mgdconf
lib-mgdconf-src := re/mgd/schema.c re/mgd/schema-path.c re/mgd/syntax.c re/mgd/lexer.c \
	re/mgd/statement.c re/mgd/curly-read.c re/mgd/curly-write.c re/mgd/validate.c gen:mgd-yang.c
lib-mgdconf-pkg := glib yang

# Everything but main: what NETCONF will use too.
mgd-show := $(sort $(wildcard $(S)/re/mgd/show/*.tmpl))
build/gen/mgd-show.c: $(S)/re/mgd/embed.awk $(mgd-show)
	@mkdir -p $(@D)
	awk -v name=mgd_show_texts -f $(S)/re/mgd/embed.awk $(mgd-show) > $@

libraries += mgd
lib-mgd-src := re/mgd/store.c re/mgd/commit.c re/mgd/rpc.c re/mgd/render.c re/mgd/render-data.c \
	re/mgd/command.c re/mgd/command-table.c re/mgd/pipe.c re/mgd/conf-data.c re/mgd/own.c re/mgd/flow.c \
	re/mgd/session.c re/mgd/session-configuration.c gen:mgd-show.c
lib-mgd-pkg := glib xml

programs += vc-mgd
vc-mgd-src := re/mgd/main.c
vc-mgd-use := mgd mgdconf shell conf firmware
vc-mgd-pkg := glib yang xml

unit-tests += mgdconf-test
mgdconf-test-src := tests/unit/mgd/schema_test.c tests/unit/mgd/curly_test.c
mgdconf-test-use := mgdconf conf firmware
mgdconf-test-pkg := glib yang

fuzzers += conf_curly
conf_curly-src := tests/fuzz/conf_curly.c
conf_curly-use := mgdconf conf firmware
conf_curly-pkg := glib yang

mgd-golden := $(sort $(wildcard $(S)/tests/golden/show/*))
build/gen/mgd-golden.c: $(S)/re/mgd/embed.awk $(mgd-golden)
	@mkdir -p $(@D)
	awk -v name=mgd_golden_texts -f $(S)/re/mgd/embed.awk $(mgd-golden) > $@

unit-tests += mgd-test
mgd-test-src := tests/unit/mgd/render_test.c tests/unit/mgd/command_test.c \
	tests/unit/mgd/store_test.c tests/unit/mgd/commit_test.c gen:mgd-golden.c
mgd-test-use := mgd mgdconf conf firmware
mgd-test-pkg := glib yang xml
