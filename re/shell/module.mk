libraries += shell
lib-shell-src := re/shell/shell.c re/shell/rpc.c re/shell/xml.c
lib-shell-pkg := glib
