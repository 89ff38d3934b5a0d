/** The release, as `/health` and the OpenAPI document tell it; a test keeps it equal to package.json's. */
export const VERSION = '1.0.0';
