/** The release; a test keeps it equal to package.json's. Installed SQL functions carry it, so no setting changes it. */
export const VERSION = '1.0.0';
