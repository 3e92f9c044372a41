// SPDX-License-Identifier: Apache-2.0
/*
 * Links the CTF of object files into an archive as kernels ship it: a dictionary of the types that several modules
 * use, one of the kernel itself and one of each module, built in or not.
 *
 * Takes the path of the archive and that of a list. Its lines have the name of a dictionary and the path of an object
 * file that belongs to it.
 */
#include <ctf-api.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARED "shared_ctf"
#define COMPRESS_FROM 4096

static void fail(const char *what, const char *path, const char *why)
{
	fprintf(stderr, "%s %s: %s\n", what, path, why);
	exit(1);
}

/* Linkers call the dictionary that others go on from by the name of its section. */
static char *member_name(ctf_dict_t *dict, const char *name, void *unused)
{
	return strcmp(name, ".ctf") ? NULL : strdup(SHARED);
}

static void add(ctf_dict_t *output, const char *name, const char *path)
{
	int error;
	ctf_archive_t *input = ctf_open(path, NULL, &error);
	ctf_dict_t *dict;
	const char *unit;

	if (!input) {
		/* Assembler has none. */
		if (error == ECTF_NOCTFDATA)
			return;
		fail("cannot open", path, ctf_errmsg(error));
	}
	dict = ctf_dict_open(input, NULL, &error);
	if (!dict)
		fail("cannot read", path, ctf_errmsg(error));
	unit = ctf_cuname(dict);
	if (unit && ctf_link_add_cu_mapping(output, unit, name) < 0)
		fail("cannot map", path, ctf_errmsg(ctf_errno(output)));
	ctf_dict_close(dict);
	if (ctf_link_add_ctf(output, input, unit ? unit : path) < 0)
		fail("cannot add", path, ctf_errmsg(ctf_errno(output)));
}

int main(int argc, char **argv)
{
	char name[256], path[4096];
	int error;
	ctf_dict_t *output = ctf_create(&error);
	unsigned char *bytes;
	size_t size;
	FILE *list, *file;

	if (argc != 3 || !output)
		return 2;
	list = fopen(argv[2], "r");
	if (!list)
		fail("cannot read", argv[2], strerror(errno));
	while (fscanf(list, "%255s %4095[^\n]", name, path) == 2)
		add(output, name, path);
	if (ctf_link(output, CTF_LINK_SHARE_DUPLICATED) < 0)
		fail("cannot link", argv[1], ctf_errmsg(ctf_errno(output)));
	ctf_link_set_memb_name_changer(output, member_name, NULL);
	bytes = ctf_link_write(output, &size, COMPRESS_FROM);
	if (!bytes)
		fail("cannot make", argv[1], ctf_errmsg(ctf_errno(output)));
	file = fopen(argv[1], "wb");
	if (!file || fwrite(bytes, 1, size, file) != size || fclose(file))
		fail("cannot write", argv[1], strerror(errno));
	return 0;
}
