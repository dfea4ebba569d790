"""How far one picture is from another, and how figures of many frames become one."""
