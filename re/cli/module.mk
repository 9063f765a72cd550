programs += vc-cli
vc-cli-src := re/cli/main.c re/cli/editor.c
vc-cli-use := firmware
vc-cli-pkg := glib
unit-tests += cli-editor
cli-editor-src := tests/unit/cli/editor_test.c re/cli/editor.c
cli-editor-pkg := glib
