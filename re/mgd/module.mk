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

unit-tests += mgdconf-test
mgdconf-test-src := tests/unit/mgd/schema_test.c tests/unit/mgd/curly_test.c
mgdconf-test-use := mgdconf conf firmware
mgdconf-test-pkg := glib yang

fuzzers += conf_curly
conf_curly-src := tests/fuzz/conf_curly.c
conf_curly-use := mgdconf conf firmware
conf_curly-pkg := glib yang
