/** How answers document the account that pays. */
export const ACCOUNT = { description: 'The account that pays', example: 'alice' } as const;
