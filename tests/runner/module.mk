libraries += runner
lib-runner-src := tests/runner/run.c tests/runner/report.c tests/runner/script.c tests/runner/json.c \
	gen:prelude.c
lib-runner-pkg := lua json glib
unit-tests += runner
runner-src := tests/unit/runner/report_test.c
runner-use := runner firmware
runner-pkg := lua json glib
$(B)/gen/prelude.c: $(S)/tests/runner/prelude.lua $(S)/tests/runner/embed.awk
	@mkdir -p $(@D)
	awk -v name=runner_prelude -f $(S)/tests/runner/embed.awk $(S)/tests/runner/prelude.lua > $@
