import { apiPages } from '../.vitepress/openapi.js';

/** The pages of the API, out of openapi.json. */
export default { watch: ['../../openapi.json'], paths: () => apiPages() };
