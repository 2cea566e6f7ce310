import path from 'node:path';
import { visit } from 'unist-util-visit';
import { REPOSITORY } from './repository.mjs';

/** Make links to files of the repository, which the site does not hold, lead to the repository's own pages. */
export function remarkRepositoryLinks() {
  return (tree, file) => {
    visit(tree, ['link', 'definition'], (node) => {
      if (!/^\.{1,2}\//.test(node.url)) return;
      const [place, anchor] = node.url.split('#');
      const target = path.relative(path.dirname(file.cwd), path.resolve(path.dirname(file.path), place));
      node.url = `${REPOSITORY}/blob/main/${target}${anchor ? `#${anchor}` : ''}`;
    });
  };
}
